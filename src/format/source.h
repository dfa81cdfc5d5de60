/* source: a model on disk, whichever way it is stored, as named matrices and facts.
 *
 * A GGUF file or a Hugging Face folder (config.json, model.safetensors or pytorch_model.bin or the sharded index of
 * either, tokenizer.json …). Nothing
 * is copied: data point into mappings that live until source_close. */
#ifndef FORMAT_SOURCE_H
#define FORMAT_SOURCE_H

#include <jansson.h>

#include "format/gguf.h"
#include "format/safetensors.h"

#define SOURCE_GGUF "model.gguf" /* a folder that has this and no config.json is that file */

/* A tensor of the file in row-major order: dim[0] outermost, as PyTorch prints it. */
struct source_tensor {
	const char *name;
	/* DTYPE_COUNT: one that this program does not compute with (safetensors only), see dtype_name */
	enum dtype dtype;
	int n_dims;
	size_t dim[4];
	const void *data;
	size_t bytes;
	const char *dtype_name;     /* as the file calls it */
};

struct source {
	const char *path;           /* as the user gave it; of such a folder its file */
	bool is_gguf;
	struct gguf gguf;           /* when is_gguf */
	json_t *config;             /* HF: config.json; NULL for GGUF */
	json_t *generation_config;  /* HF: may be NULL */
	json_t *tokenizer_config;   /* HF: may be NULL */
	struct safetensors *shards; /* HF */
	size_t n_shards;
	/* of a quantized folder (quantized.h): all tensors, by name, and those of them that were made; else NULL */
	struct source_tensor *list, *made;
	size_t n_list, n_made;
	char made_of[33];           /* of a model that is in no file: the hash that stands for them, else "" */
	struct arena mem;
};

/* the error says what is missing in a folder and what a model is */
int source_open(struct source *s, const char *path, struct err *e);
/* The same without a folder's weights, which need not be there. */
int source_open_facts(struct source *s, const char *path, struct err *e);
void source_close(struct source *s);
int source_find(const struct source *s, const char *name, struct source_tensor *out); /* 0 found, 1 not there */
size_t source_count(const struct source *s);
void source_tensor(const struct source *s, size_t i, struct source_tensor *out);
/* Do a tensor's data lie in one of the mapped files? Those of a file that is not aligned are copies. */
bool source_maps(const struct source *s, const void *data);
void source_forget(const struct source *s, const void *p, size_t n); /* io_forget in whichever file has them */
size_t source_bytes(const struct source *s);                          /* of all weight files */
/* over the weight files; a hash of their hashes where there are several */
int source_hash(const struct source *s, char hex[33], struct err *e);

#endif
