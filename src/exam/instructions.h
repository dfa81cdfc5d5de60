/* instructions: the 25 instructions of IFEval (Zhou et al. 2023) that a program can check, each as lm-eval 0.4.13
 * checks it. Where that draws a number by chance (an argument is missing) a sentence is said instead; a letter that is
 * none of a to z is counted as it is. Sentences and words of capitals: exam/english.h. The language is
 * corpus/language.h's likeliest, not langdetect's, which passes over words of capitals and may say another language the
 * next time. JSON is RFC 8259's, so NaN and Infinity are none. */
#ifndef EXAM_INSTRUCTIONS_H
#define EXAM_INSTRUCTIONS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* id: "keywords:existence"; kwargs: a row's, keys that are null, "" or 0 being none. An answer of white space follows
 * nothing. −1: what the row says makes no sense. */
int instruction_follows(const char *id, const json_t *kwargs, const char *answer, bool *follows, struct err *e);

#endif
