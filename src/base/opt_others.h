/* opt_others: what options are called in the tools that people come from: llama.cpp, ollama, transformers, TRL, PEFT,
 * mlx-lm, LLaMA-Factory. A name that means the same is taken as ours; one that does not, or that stands for something
 * that is not needed here, has a sentence. */
#ifndef BASE_OPT_OTHERS_H
#define BASE_OPT_OTHERS_H

#include "base/opt.h"

/* The row of `table` that has this name, or else means the same as it does elsewhere; NULL for none. */
const struct opt *opt_find_called(const struct opt *table, const char *name);
/* What to say of a name that is not taken, such as "a quantized model is trained as it is"; NULL: nothing is known.
 * table: of the command that was given it. */
const char *opt_note_of_others(const struct opt *table, const char *name);
/* Of a sentence of opt_args: the name that it did not know, where it is like none of the command's; else NULL. */
const char *opt_stray(const struct err *e);

#endif
