/* info_graph: the page by which a reader follows the data: every node of a forward, or of a training step, in the order
 * in which they run. */
#ifndef CMD_INFO_GRAPH_H
#define CMD_INFO_GRAPH_H

#include "cmd/model_common.h"

struct info_graph {
	bool graph, gradient_checkpointing;
	const char *train, *compute, *activations;   /* train: a method, or "nothing" */
	void **methods;                /* their options */
	int64_t micro_batch_tokens;
	size_t memory;
};

bool info_graph_rows(size_t i, struct opt_row *out);   /* "nothing", then the methods */

#define INFO_GRAPH_OPTS(s, f) \
	OPT_GROUP("What is computed, instead"), \
		OPT_FLAG("graph", s, f.graph, "false", \
	                 "a line for each node of a forward or a training step: its op, what it makes, from what, " \
	                 "and what of that is kept; every layer, in order"), \
		OPT_PICK("train", s, f.train, info_graph_rows, "what a step of --graph trains"), \
		OPT_INT("micro-batch-tokens", s, f.micro_batch_tokens, "1024", 2, 1 << 22, "tokens of the step"), \
		OPT_BYTES("memory", s, f.memory, NULL, \
	                  "limit of the process's memory, which decides what is recomputed"), \
		OPT_FLAG("gradient-checkpointing", s, f.gradient_checkpointing, "false", "recompute all that can be"), \
		OPT_CHOICE("activations", s, f.activations, "f32", "f32|8bit", "how activations wait for backward"), \
		COMPUTE_OPT(s, f.compute, "f32"), \
		OPT_ROWS("train", s, f.methods, info_graph_rows)

/* Prepares the weights as --compute has it: all that takes time. */
int info_graph_compute(struct app *app, struct model *m, const struct info_graph *o, struct err *e);
/* Prints it; the summary too. given: an adapter that lies over the model, or NULL. */
int info_graph(struct app *app, struct model *m, const struct overlay *given, const struct info_graph *o,
               struct err *e);

#endif
