/* adapter_writing: what convert and merge share: an adapter planned and written, as a folder of PEFT's form or as a
 * GGUF file, whichever the name says. */
#ifndef CMD_ADAPTER_WRITING_H
#define CMD_ADAPTER_WRITING_H

#include "adapt/combine.h"
#include "cmd/model_common.h"

/* -1 and a sentence for a dtype that no adapter is written as: before any work. */
int adapter_dtype_fits(const char *dtype, struct err *e);
/* Adds the seconds of writing so many numbers. */
void adapter_predict_writing(struct predicted *p, size_t numbers);
/* The live line of combine_adapters (struct combine, progress). */
void adapter_watch(void *ctx, const struct combine_progress *p);
/* dtype: "f32" or "f16", or NULL, f32; a folder has f32. what: the command, for its ledger family. Plans first, and
 * ends there under --plan; NULL: who calls has planned. */
int adapter_write(struct app *app, struct loaded *l, const char *what, const char *out, const char *dtype,
                  struct err *e);

#endif
