/* model_writing: what merge and convert share: a model planned and written, as a Hugging Face folder or as a GGUF file,
 * whichever the name says. */
#ifndef CMD_MODEL_WRITING_H
#define CMD_MODEL_WRITING_H

#include "cmd/model_common.h"
#include "model/export_gguf.h"

struct model_writing {
	struct loaded *l;
	const char *what, *out;              /* the command, for its ledger family; FILE.gguf or DIR */
	const struct export_weights *weights, *watched; /* watched: own, the same with progress */
	int dtype;                           /* enum dtype, −1: as stored */
	size_t more;                         /* bytes that weights->get needs beside its scratch */
	/* adds to the plan what the command does besides; or NULL */
	void (*besides)(void *ctx, struct predicted *p);
	void *ctx;
	bool as_stored;                      /* a GGUF keeps quantized tensors as they are stored */
	/* filled: */
	size_t bytes;                        /* of weights */
	const char *dtype_name;              /* "bf16"; "stored" where several are meant */
};

bool names_gguf(const char *path);       /* ends in .gguf */
/* −1 and a sentence where `out` is to be a folder and there is a file, or a folder with something in it. */
int output_folder_free(const char *out, struct err *e);
/* Opens the tokenizer where it is needed, plans (and ends there under --plan), writes. */
int model_write(struct app *app, struct model_writing *w, struct err *e);

#endif
