/* peft_asked: options that choose layers and give modules ranks and alphas of their own, into a new adapter's
 * config. */
#ifndef ADAPT_PEFT_ASKED_H
#define ADAPT_PEFT_ASKED_H

#include "adapt/peft_config.h"

/* layers_to_transform, layers_pattern, rank_pattern, alpha_pattern, where they are given; the config has its
 * target_modules. −1: what is asked for means nothing, and a sentence. */
int peft_put_asked(json_t *config, const struct model *m, const struct adapter_targets *on, struct err *e);

/* "q_proj=16,…" or a JSON object, new; words: a value may be true or false too. NULL: neither, and a sentence. */
json_t *peft_object(const char *key, const char *text, bool words, struct err *e);

#endif
