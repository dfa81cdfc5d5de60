/* export_gguf: writes a model as a GGUF file that llama.cpp runs: facts, tokenizer, chat templates, what the model asks
 * of generating, weights.
 *
 * From a GGUF the metadata are kept as they are. From a Hugging Face folder they are made by the tables that read them,
 * and read again before a byte is written: what GGUF has no word for is refused by its name, so that a file computes
 * and tokenizes what the folder does. Where an architecture's files are another's (Mistral's are Llama's), arch.to_gguf
 * says so. The tokenizer is open (model_tokenizer).
 *
 * In two steps, so that a caller chooses how each tensor is stored:
 *
 *     export_gguf_list(&list, m, &weights, e);         names, dims, the dtype that each has now
 *     for (i …) export_gguf_store(&list.tensor[i], t);  or .dtype set by a rule of the caller's
 *     export_gguf_write(&list, path, &how, e);
 *     export_gguf_release(&list);
 *
 * Norms, biases and the other tensors that llama.cpp computes with in f32 alone are `plain`: F32, whatever is asked
 * for. */
#ifndef MODEL_EXPORT_GGUF_H
#define MODEL_EXPORT_GGUF_H

#include "format/gguf_write.h"
#include "model/export.h"

struct export_tensor {
	const char *name;             /* "blk.0.attn_q.weight" */
	const struct weight_spec *spec; /* its row of the table that the file is of; NULL: no weight, `kept` */
	int weight, n;                /* the model's first weight in it, and how many: experts, else 1; n_weights: the
	                               * head of a tied model that has one of its own now */
	int n_dims;
	size_t dim[3];                /* outermost first: [out][in], [expert][out][in] */
	size_t skip;                  /* rows of the weight before the first that the file has */
	bool plain;
	enum dtype dtype;             /* to be written as */
	bool as_is;                   /* the source's own bytes, while dtype is `stored` */
	enum dtype stored;
	const void *kept;             /* F32 numbers, or the source's bytes, of a tensor that is no weight */
};

struct export_gguf_list {
	struct arena mem;
	const struct model *model;
	const struct export_weights *weights;
	struct config as;             /* the facts as the file has them */
	struct export_tensor *tensor;
	size_t n;
};

struct export_gguf {
	/* Fills `out` with rows × cols numbers of t, expert e of it (0), as t->dtype; NULL: dtypes[].from_float. */
	int (*pack)(void *ctx, const struct export_tensor *t, int expert, const float *x, size_t rows, size_t cols,
	            void *out, struct err *e);
	void (*keys)(void *ctx, struct gguf_meta *meta);  /* adds keys behind all others; NULL: none */
	int file_type;                /* general.file_type, llama.cpp's number; −1: by what most bytes are */
	void *ctx;
};

/* weights (and its ctx) outlive the list. After an error nothing is open. */
int export_gguf_list(struct export_gguf_list *l, const struct model *m, const struct export_weights *weights,
                     struct err *e);
/* t is stored as dtype, or, where it is plain, F32, or, where its rows are no multiple of a block, F16. */
void export_gguf_store(struct export_tensor *t, enum dtype dtype);
size_t export_gguf_bytes(const struct export_gguf_list *l);    /* of all tensors */
size_t export_gguf_scratch(const struct export_gguf_list *l);  /* bytes taken while it writes */
/* Whether it can be written, for who will only later: −1 and why not. */
int export_gguf_check(const struct export_gguf_list *l, const struct export_gguf *how, struct err *e);
/* Beside and renamed. */
int export_gguf_write(const struct export_gguf_list *l, const char *path, const struct export_gguf *how,
                      struct err *e);
void export_gguf_release(struct export_gguf_list *l);

#endif
