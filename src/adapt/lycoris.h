/* lycoris: what LoHa and LoKr share (Yeh et al. 2023): parts of an update that are left out in training. */
#ifndef ADAPT_LYCORIS_H
#define ADAPT_LYCORIS_H

#include "adapt/peft_config.h"
#include "model/graph.h"

/* PEFT's rank_dropout leaves out rows of the update, module_dropout all of it. */
struct lycoris_dropout { double rank, module; };
#define LYCORIS_DROPOUT_OPTS(s, f) \
	OPT_FLOAT("rank-dropout", s, f.rank, "0", 0, 0.99, \
	          "rows of each update that are left out of a micro-batch of training"), \
		OPT_FLOAT("module-dropout", s, f.module, "0", 0, 0.99, \
	                  "how often a module's whole update is left out of one")

void lycoris_put(json_t *own, const struct lycoris_dropout *d);
int lycoris_read(const json_t *config, struct lycoris_dropout *d, struct err *e);
/* Whether anything is left out of what is recorded now. */
bool lycoris_drops(const struct graph *g, const struct overlay *o, const struct lycoris_dropout *d);
/* The update's rows y (N,O) without it; scaled: what is left is as much as all in the mean. */
uint32_t lycoris_drop(struct graph *g, const struct overlay *o, const struct lycoris_dropout *d, bool scaled,
                      uint32_t y);

#endif
