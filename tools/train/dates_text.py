"""Dates as people write them, in English and German, and what they mean: (text, ISO 8601), endlessly.

The conventions, without which some texts could mean two dates:
- Slashes: month first, or day first where the first number is above 12. Dots and dashes: day first. Four digits in
  front: year, month, day, whatever stands between.
- Where the month is a word, two numbers are day and year, in this order.
- Years of two digits are POSIX's: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068.
"""
import datetime
import random
import zlib

ENGLISH_MONTHS = ("January February March April May June July August September October November December").split()
GERMAN_MONTHS = ("Januar Februar März April Mai Juni Juli August September Oktober November Dezember").split()
ENGLISH_SHORT = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
GERMAN_SHORT = "Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez".split()
ROMAN = "I II III IV V VI VII VIII IX X XI XII".split()
SHORT = set(ENGLISH_SHORT + GERMAN_SHORT + ["Maer", "Mrz", "Sept"]) - {"May", "Mai"}
MORE = {1: ["Jänner"], 2: ["Feber"], 3: ["Mrz"], 9: ["Sept"]}  # in Austria, and other short forms

ENGLISH_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
GERMAN_DAYS = "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag".split()

ENGLISH_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth").split()
ENGLISH_ORDINALS += ["twenty-" + word for word in ENGLISH_ORDINALS[:9]] + ["thirtieth", "thirty-first"]
GERMAN_ORDINALS = (
    "erst zweit dritt viert fünft sechst siebt acht neunt zehnt elft zwölft dreizehnt vierzehnt fünfzehnt sechzehnt "
    "siebzehnt achtzehnt neunzehnt zwanzigst").split()
GERMAN_ORDINALS += [unit + "undzwanzigst" for unit in "ein zwei drei vier fünf sechs sieben acht neun".split()]
GERMAN_ORDINALS += ["dreißigst", "einunddreißigst"]

# {M} month, {w} weekday, {d} day, {o} 3rd, {word} third, {m} number of the month, {R} that in Roman numerals,
# {y} year, {Y} of four digits, {n} of four or two.
ENGLISH = """{d} {M} {y}|{d} {M}, {y}|{o} {M} {y}|{o} {M}, {y}|{o} of {M} {y}|{o} of {M}, {y}|the {o} of {M} {y}|
the {o} of {M}, {y}|{w} {o} {M} {y}|{w}, {M} {o}, {y}|
{M} {d}, {y}|{M} {d} {y}|{M} {o}, {y}|{M} {o} {y}|{M} the {o}, {y}|{M} the {o} {y}|{w} {d} {M} {y}|{w}, {d} {M} {y}|
{w}, {M} {d}, {y}|{w} {M} {d} {y}|{w}, {o} of {M} {y}|{w}, the {o} of {M} {y}|{w} {M} {o}, {y}|on {M} {d}, {y}|
on the {o} of {M} {y}|{Y} {M} {d}|{Y}-{M}-{d}|{d}-{M}-{n}|{d}/{M}/{n}|{word} of {M} {Y}|the {word} of {M} {Y}|
the {word} of {M}, {Y}|{M} the {word}, {Y}|{M} {word}, {Y}|{M} {word} {Y}""".replace("\n", "").split("|")
GERMAN = """{d}. {M} {y}|{d}.{M} {y}|{d} {M} {y}|den {d}. {M} {y}|der {d}. {M} {y}|am {d}. {M} {y}|vom {d}. {M} {y}|
{w}, {d}. {M} {y}|{w} {d}. {M} {y}|{w}, den {d}. {M} {y}|{w}, der {d}. {M} {y}|am {w}, dem {d}. {M} {y}|{d}. {R}. {y}|
{d}.{R}.{n}|{d}. {m}. {n}|{w}, {d}.{m}.{n}|{w} {d}.{m}.{n}|am {d}.{m}.{n}|{w}, den {d}.{m}.{n}|{word}er {M} {Y}|
der {word}e {M} {Y}|am {word}en {M} {Y}|den {word}en {M} {Y}""".replace("\n", "").split("|")
NUMERIC = """{m}/{d}/{n}|{m}/{d}/{n}|{m}/{d}/{n}|{d}/{m}/{n}|{w}, {m}/{d}/{n}|{d}.{m}.{n}|{d}.{m}.{n}|{d}.{m}.{n}|
{d}-{m}-{n}|{Y}-{m}-{d}|{Y}-{m}-{d}|{Y}/{m}/{d}|{Y}.{m}.{d}|{Y} {m} {d}|{Y}{m:02}{d:02}""".replace("\n", "").split("|")

LETTERS = "abcdefghijklmnopqrstuvwxyz"
FORMS = [(number, form.lower()) for months in (ENGLISH_MONTHS, GERMAN_MONTHS, ENGLISH_SHORT, GERMAN_SHORT)
         for number, form in enumerate(months, 1)]
FORMS += [(number, form.lower()) for number, forms in MORE.items() for form in forms]
FORMS += [(3, "maerz"), (1, "jaenner")]


def distance(a, b):
    """Insertions, deletions, substitutions and swaps of neighbours from a to b (Damerau, 1964)."""
    before, last = None, list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(row[-1] + 1, last[j] + 1, last[j - 1] + (x != y)))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                row[-1] = min(row[-1], before[j - 2] + 1)
        before, last = last, row
    return last[-1]


def mistype(rng, word):
    """Two neighbours swapped, or a letter doubled, missing or wrong."""
    at, kind = rng.randrange(len(word)), rng.randrange(4)
    if kind == 0 and at > 0:
        return word[:at - 1] + word[at] + word[at - 1] + word[at + 1:]
    return word[:at] + ("", word[at] * 2, "", rng.choice(LETTERS))[kind] + word[at + 1:]


RESOLVED = {}


def means(word, number):
    """Whether a word is nearer to this month than to any other."""
    word = word.lower()
    if word not in RESOLVED:
        near = sorted((distance(word, form), other) for other, form in FORMS)
        best = {other for steps, other in near if steps == near[0][0]}
        RESOLVED[word] = best.pop() if len(best) == 1 and near[0][0] <= 2 else None
    return RESOLVED[word] == number


def month_word(rng, number, german):
    long, short = (GERMAN_MONTHS, GERMAN_SHORT) if german else (ENGLISH_MONTHS, ENGLISH_SHORT)
    word = long[number - 1] if rng.random() < 0.7 else short[number - 1]
    if number in MORE and rng.random() < 0.15 and (german or number == 9):
        word = rng.choice(MORE[number])
    word = spell(rng, word)
    if len(word) > 3 and rng.random() < 0.4:
        wrong = mistype(rng, word)
        if len(word) > 6 and rng.random() < 0.1:
            wrong = mistype(rng, wrong)
        return wrong if means(wrong, number) else word
    return word + "." if word in SHORT and rng.random() < 0.25 else word


def weekday_word(rng, index, german):
    word = (GERMAN_DAYS if german else ENGLISH_DAYS)[index]
    if index == 5 and german and rng.random() < 0.3:
        word = "Sonnabend"
    if rng.random() < 0.4:
        return word[:2 if german else 3] + ("." if rng.random() < 0.3 else "")
    return mistype(rng, word) if rng.random() < 0.25 else word


def spell(rng, word):
    """Umlauts and ß as keyboards without them write them, sometimes."""
    draw = rng.random()
    if draw < 0.7:
        return word
    for letter, pair in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        word = word.replace(letter, pair if draw < 0.95 or letter == "ß" else pair[0])
    return word


def ordinal(rng, day):
    right = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{right if rng.random() < 0.95 else 'th'}"


def space(rng, text):
    """Now and then a space too many or, where no digits would meet, too few."""
    draw = rng.random()
    if draw > 0.25:
        return text
    out = []
    for i, char in enumerate(text):
        if char == " " and rng.random() < (0.8 if draw < 0.08 else 0.3):
            if draw > 0.2:
                out.append(" ")
            elif not (text[i - 1].isdigit() and text[i + 1].isdigit()):
                continue
        out.append(char)
    return "".join(out)


def pair(rng):
    """One text and the date that it means."""
    first, last = ((1900, 2099) if rng.random() < 0.8 else (1600, 2399))
    date = datetime.date.fromordinal(rng.randint(datetime.date(first, 1, 1).toordinal(),
                                                 datetime.date(last, 12, 31).toordinal()))
    draw = rng.random()
    german = draw < 0.35 or draw > 0.95
    style = rng.choice(GERMAN if draw < 0.35 else ENGLISH if draw < 0.7 else NUMERIC)
    if style == "{d}/{m}/{n}" and date.day <= 12:
        style = "{m}/{d}/{n}"
    year = f"{date.year}"
    two = 1969 <= date.year <= 2068 and rng.random() < 0.3
    padded = rng.random() < 0.4
    number = (lambda value: f"{value:02}") if padded else str
    compact = ":02" in style
    apostrophe = rng.choice(["", "'", "'", "’"])
    text = style.format(
        M=month_word(rng, date.month, german != (rng.random() < 0.1)), w=weekday_word(rng, date.weekday(), german),
        d=date.day if compact else number(date.day), m=date.month if compact else number(date.month),
        o=ordinal(rng, date.day), R=ROMAN[date.month - 1], Y=year, n=year[2:] if two else year,
        y=apostrophe + year[2:] if two else year,
        word=spell(rng, GERMAN_ORDINALS[date.day - 1]) if german else ENGLISH_ORDINALS[date.day - 1])
    if "-" in text and "{word}" in style and rng.random() < 0.3:
        text = text.replace("-", " ")
    text = space(rng, text)
    draw = rng.random()
    return text.lower() if draw < 0.15 else text.upper() if draw < 0.25 else text, date.isoformat()


def pairs(seed, held_out):
    """Pairs of a random stream; a text belongs to training or to the held-out ones by its checksum, never to both."""
    rng = random.Random(seed)
    while True:
        text, date = pair(rng)
        if (zlib.crc32(text.lower().encode()) % 32 == 0) == held_out:
            yield text, date
