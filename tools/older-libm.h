// Included ahead of every file of a prebuilt binary. glibc 2.29 gave these functions new versions, which leave errno
// alone; the old versions compute the same and are in every glibc.
#ifdef __x86_64__
#define HEDDLE_FIRST_GLIBC "GLIBC_2.2.5"
#else
#define HEDDLE_FIRST_GLIBC "GLIBC_2.17"
#endif
__asm__(".symver exp, exp@" HEDDLE_FIRST_GLIBC);
__asm__(".symver exp2, exp2@" HEDDLE_FIRST_GLIBC);
__asm__(".symver log, log@" HEDDLE_FIRST_GLIBC);
__asm__(".symver log2, log2@" HEDDLE_FIRST_GLIBC);
__asm__(".symver pow, pow@" HEDDLE_FIRST_GLIBC);
#undef HEDDLE_FIRST_GLIBC
