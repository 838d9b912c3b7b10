/*
 * lint_facts.h - what clang-tidy's analyzer cannot see from within one file. The target `lint`, and
 * nothing else, includes it before each source file.
 *
 * Without it the analyzer follows paths on which weir_fail() returned true.
 */
#ifndef LINT_FACTS_H
#define LINT_FACTS_H

#include "weir/err.h"

#define weir_fail(...)  (weir_fail(__VA_ARGS__), false)
#define weir_failf(...) (weir_failf(__VA_ARGS__), false)

#endif
