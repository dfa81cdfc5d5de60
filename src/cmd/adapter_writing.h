/* adapter_writing: what convert and merge share: an adapter planned and written, as a folder of PEFT's form or as a
 * GGUF file, whichever the name says. */
#ifndef CMD_ADAPTER_WRITING_H
#define CMD_ADAPTER_WRITING_H

#include "cmd/model_common.h"

/* dtype: "f32" or "f16", or NULL, f32; a folder has f32. what: the command, for its ledger family. Plans first, and
 * ends there under --plan. */
int adapter_write(struct app *app, struct loaded *l, const char *what, const char *out, const char *dtype,
                  struct err *e);

#endif
