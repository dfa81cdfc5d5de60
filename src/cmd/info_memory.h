/* info_memory: what running and tuning a model would need, by the engine's own dry run: tapes are recorded and planned,
 * not run. */
#ifndef CMD_INFO_MEMORY_H
#define CMD_INFO_MEMORY_H

#include "cmd/model_common.h"

enum { INFO_ROWS = 1024, INFO_RANK = 8 };

struct info_memory {
	size_t weights;               /* mapped, or taken */
	/* libraries, tokenizer, the file's tables: this process now, without the model's pages */
	size_t program;
	size_t run;                   /* weights, program and a session's work space */
	size_t cache_token, cache;    /* keys and values of a token, of a full context */
	/* tuning with LoRA of rank INFO_RANK on all linears, all weights: micro-batches of INFO_ROWS tokens, all
	 * supervised */
	size_t lora, full;
};

int info_memory(struct info_memory *out, struct app *app, struct loaded *l, struct err *e);

#endif
