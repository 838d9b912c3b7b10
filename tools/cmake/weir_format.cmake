# Targets over the sources as they are read by people: format, format-check and lint.

file(GLOB_RECURSE WEIR_SOURCES CONFIGURE_DEPENDS
  ${CMAKE_SOURCE_DIR}/include/*.h
  ${CMAKE_SOURCE_DIR}/base/*.[ch]
  ${CMAKE_SOURCE_DIR}/node/*.[ch]
  ${CMAKE_SOURCE_DIR}/cluster/*.[ch]
  ${CMAKE_SOURCE_DIR}/auth/*.[ch]
  ${CMAKE_SOURCE_DIR}/bench/*.[ch]
  ${CMAKE_SOURCE_DIR}/tools/*.[ch])

# A target of this file stands for its program even where that is missing, and then says so when built.
function(weir_source_target name program)
  if(program)
    add_custom_target(${name} COMMAND ${ARGN} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM)
  else()
    add_custom_target(${name} COMMAND ${CMAKE_COMMAND} -E echo "${name}: its program is missing: run tools/deps lint"
                              COMMAND ${CMAKE_COMMAND} -E false VERBATIM)
  endif()
endfunction()

# Version 14 by name where there is one: another version lays the same code out differently.
find_program(CLANG_FORMAT NAMES clang-format-14 clang-format)
find_program(RUN_CLANG_TIDY NAMES run-clang-tidy-14 run-clang-tidy)

weir_source_target(format "${CLANG_FORMAT}" ${CLANG_FORMAT} -i ${WEIR_SOURCES})
weir_source_target(format-check "${CLANG_FORMAT}" ${CLANG_FORMAT} --dry-run -Werror ${WEIR_SOURCES})
# Every file of compile_commands.json but the tests: cmocka's asserts do not tell the analyzer that they
# do not return, and what tests do wrong shows when they run. base/err.c defines what lint_facts.h wraps.
# Flags of gcc's that clang lacks are of no interest.
weir_source_target(lint "${RUN_CLANG_TIDY}"
  ${RUN_CLANG_TIDY} -quiet -j 2 -p ${CMAKE_BINARY_DIR} -extra-arg=-Wno-unknown-warning-option
  -extra-arg-before=-I${CMAKE_SOURCE_DIR}/include -extra-arg-before=-include${CMAKE_SOURCE_DIR}/tools/lint_facts.h
  "/(base|node|cluster|auth)/(.*/)?(?!test_|fuzz_|err[.]c$)[^/]*[.]c$")
