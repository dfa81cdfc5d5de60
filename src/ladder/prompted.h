/* prompted: what rungs have in common that put examples before what is asked (data/fewshot.h): the folder of such a
 * rung holds prompt.json, the bytes that stand before each row. */
#ifndef LADDER_PROMPTED_H
#define LADDER_PROMPTED_H

#include "ladder/ladder.h"

#define PROMPT_FILE "prompt.json"

int prompted_fits(struct ladder *l, struct err *e);
int prompted_price(struct ladder *l, bool calibrated, struct rung_price *p, struct err *e);
int prompted_make(struct ladder *l, const char *dir, struct err *e);
int prompted_answer(struct ladder *l, const char *dir, bool calibrated, const size_t *at, size_t n, struct outcome *out,
                    struct err *e);

#endif
