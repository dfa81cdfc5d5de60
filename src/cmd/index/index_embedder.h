/* index_embedder: the model that makes an index's vectors (infer/index_embed.h), opened as commands open models: its
 * holder is a struct loaded. */
#ifndef CMD_INDEX_EMBEDDER_H
#define CMD_INDEX_EMBEDDER_H

#include "cmd/model_common.h"
#include "infer/index_embed.h"

/* compute as --compute has it. Closed by the caller, after an error too. */
int index_embedder_open(struct index_embedder *x, struct app *app, const char *model, const char *compute,
                        int64_t micro_batch_tokens, struct err *e);
/* The one of an index, at `path` where it is not where it was: 1, or 0 where the index has none. −1: another
 * model. */
int index_embedder_of(struct index_embedder *x, struct app *app, const struct index *of, const char *path,
                      const char *compute, int64_t micro_batch_tokens, struct err *e);

#endif
