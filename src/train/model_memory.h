/* model_memory: what running and tuning a model would need, by the engine's own dry run: tapes are recorded and
 * planned, not run. A job's own figure, with its rows and options, is what its plan gives (train/trainer.h). */
#ifndef TRAIN_MODEL_MEMORY_H
#define TRAIN_MODEL_MEMORY_H

#include "adapt/adapter.h"
#include "model/model.h"
#include "op/device.h"

enum { MODEL_MEMORY_TOKENS = 1024 };

struct model_memory {
	size_t weights;               /* mapped, or taken */
	/* libraries, tokenizer, the file's tables: this process now, without the model's pages */
	size_t program;
	size_t run;                   /* weights, program and a session's work space, or an encoder's micro-batch */
	size_t cache_token, cache;    /* keys and values of a token, of a full context */
	/* tuning with an adapter at its own defaults, and all weights: micro-batches of MODEL_MEMORY_TOKENS tokens, all
	 * supervised; 0 of an encoder */
	size_t adapter, full;
};

/* weights and program alone. The pages of the file that are there are given back. */
void model_memory_now(struct model_memory *out, const struct model *m);
int model_memory(struct model_memory *out, struct model *m, const struct adapter_type *type, struct device *d,
                 struct err *e);

#endif
