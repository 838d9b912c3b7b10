# How every target of weir is built. Included once by the root CMakeLists.txt.
#
#   weir_area(NAME SOURCES ... [USES area-or-library ...])   a static library; its folder becomes its include path
#   weir_test(NAME USES ...)                                 NAME.c is a cmocka program, run by ctest
#   weir_fuzz(NAME USES ...)                                 NAME.c is a libFuzzer target; its corpus is corpus/NAME/
#
# A fuzz target is built in every configuration: with -DWEIR_FUZZ=ON it links libFuzzer, otherwise
# tools/fuzz_replay.c gives it a main() that feeds it each file of its corpus, and ctest runs that.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # accept4, eventfd and kin
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

option(WEIR_FUZZ "Link fuzz targets with libFuzzer (clang)" OFF)
option(WEIR_FAULTS "Let tests make the n-th allocation fail" OFF)
set(WEIR_SANITIZE "" CACHE STRING "Sanitizers: '', 'address,undefined' or 'thread'")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBEVENT REQUIRED IMPORTED_TARGET libevent_core libevent_pthreads)
pkg_check_modules(LIBEVENT_HTTP REQUIRED IMPORTED_TARGET libevent_extra)
pkg_check_modules(LIBEVENT_TLS REQUIRED IMPORTED_TARGET libevent_openssl)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET libssl)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(LIBCYAML REQUIRED IMPORTED_TARGET libcyaml)
pkg_check_modules(LIBYAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(BROTLI REQUIRED IMPORTED_TARGET libbrotlienc libbrotlidec)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(NCURSES REQUIRED IMPORTED_TARGET ncursesw)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

add_compile_options(
  -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes
  -Wundef -Wvla -Wwrite-strings -Wformat=2 -fno-common -fno-strict-aliasing)
add_compile_definitions(_GNU_SOURCE)

# What a release is hardened with; the link flags hold for every program.
add_compile_options($<$<CONFIG:Release,RelWithDebInfo>:-fstack-protector-strong>)
if(NOT WEIR_SANITIZE AND NOT WEIR_FUZZ)
  add_compile_options("$<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")
  add_compile_options($<$<CONFIG:Release,RelWithDebInfo>:-fstack-clash-protection>
                      $<$<CONFIG:Release,RelWithDebInfo>:-fcf-protection>)
  add_link_options(-pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
endif()

# assert() stays on in release: it guards against bugs, never against peers (docs/architecture.md).
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

if(WEIR_SANITIZE)
  add_compile_options(-fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WEIR_SANITIZE})
endif()
if(WEIR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(WEIR_FAULTS)
  add_compile_definitions(WEIR_FAULTS)
endif()

# The doors between the areas: headers only.
add_library(weir_doors INTERFACE)
target_include_directories(weir_doors INTERFACE ${CMAKE_SOURCE_DIR}/include)

function(weir_area name)
  cmake_parse_arguments(A "" "" "SOURCES;USES" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC weir_doors ${A_USES})
endfunction()

enable_testing()

function(weir_test name)
  cmake_parse_arguments(T "" "" "USES" ${ARGN})
  add_executable(${name} ${name}.c)
  target_link_libraries(${name} PRIVATE ${T_USES} PkgConfig::CMOCKA)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS unit)
endfunction()

function(weir_fuzz name)
  cmake_parse_arguments(T "" "" "USES" ${ARGN})
  if(WEIR_FUZZ)
    add_executable(${name} ${name}.c)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name} PRIVATE ${T_USES})
    add_test(NAME ${name} COMMAND ${name} -runs=0 ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  else()
    add_executable(${name} ${name}.c ${CMAKE_SOURCE_DIR}/tools/fuzz_replay.c)
    target_link_libraries(${name} PRIVATE ${T_USES})
    add_test(NAME ${name} COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS fuzz)
endfunction()
