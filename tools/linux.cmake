# Toolchain of the prebuilt Linux binaries: this machine's g++ with Debian 11's libraries (tools/sysroot.cjs), so that
# they ask for no newer glibc. -DHEDDLE_ARCH=x64 or arm64.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES HEDDLE_ARCH)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
if(HEDDLE_ARCH STREQUAL "arm64")
  set(CMAKE_SYSTEM_PROCESSOR aarch64)
endif()
set(triplet ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu)
set(CMAKE_CXX_COMPILER ${triplet}-g++)
set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
get_filename_component(CMAKE_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/${HEDDLE_ARCH} ABSOLUTE)

# A native g++ looks into the machine's own folders before the sysroot's, and a newer g++ brings a libstdc++ and a
# libgcc that call what an older glibc does not have. -B: these first. The C++ headers go with the library.
set(headers ${CMAKE_SYSROOT}/usr/include)
set(libraries ${CMAKE_SYSROOT}/usr/lib)
set(flags
  -B${libraries}/gcc/${triplet}/10 -B${libraries}/${triplet}
  -nostdinc++ -isystem ${headers}/c++/10 -isystem ${headers}/${triplet}/c++/10
  -include ${CMAKE_CURRENT_LIST_DIR}/older-libm.h)
# As options, since what CMAKE_CXX_FLAGS starts with gives way to what a builder sets it to.
string(JOIN " " words ${flags})
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:SHELL:${words}>)
add_link_options($<$<LINK_LANGUAGE:CXX>:SHELL:${words}>)
string(JOIN "," CMAKE_CUDA_FLAGS_INIT -Xcompiler=--sysroot=${CMAKE_SYSROOT} ${flags})
