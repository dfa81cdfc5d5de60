/* instruction: what the shapes of Stanford Alpaca's columns have in common: instruction, input, system and history as
 * turns, and without a chat template the wording with which it was trained. */
#ifndef DATA_INSTRUCTION_H
#define DATA_INSTRUCTION_H

#include "data/maker.h"

#define INSTRUCTION_COLUMNS "input", "history"  /* that may be there */

/* The turns that ask, of history's pairs and of instruction and input; new. NULL and a sentence. */
json_t *instruction_turns(const json_t *row, struct err *e);
/* The wording that asks it without a template. */
int instruction_text(const json_t *row, struct buf *prompt, struct err *e);
/* One document: the answer after the question, of which `all` answers are learnt (history's too) or the last alone. */
struct document *instruction_make(struct maker *m, const json_t *answer, bool all, struct err *e);

#endif
