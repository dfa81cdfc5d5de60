/* answer_gas: what an answer from documents took, part by part: for looking sources up, for reading the prompt, for
 * writing, and for what it rests on. What generate, its rows, chat, eval and serve tell. */
#ifndef GAS_ANSWER_GAS_H
#define GAS_ANSWER_GAS_H

#include "gas/meter.h"

enum answer_part { PART_RETRIEVAL, PART_READING, PART_WRITING, PART_CITATIONS, ANSWER_PARTS };
extern const char *const answer_part_names[ANSWER_PARTS];

struct answer_gas { double seconds[ANSWER_PARTS], joules[ANSWER_PARTS]; };

void answer_gas_took(struct answer_gas *g, enum answer_part part, const struct gas *used);
/* Of an answer, parted by the seconds of reading and of writing. */
void answer_gas_divide(struct answer_gas *g, const struct gas *used, double reading, double writing);
/* The same of a span in which more was done: what is read and written takes these shares of it. */
void answer_gas_share(struct answer_gas *g, const struct gas *used, double reading, double writing);
/* What citations took since `before`, which was within what was parted by that, is taken from it. */
void answer_gas_less(struct answer_gas *g, const struct answer_gas *before);
/* As `parts` of j; of that many answers, each. */
void answer_gas_put(const struct answer_gas *g, double answers, json_t *j);

#endif
