/* export: writes a model as a Hugging Face folder that transformers loads: config.json, generation_config.json, the
 * tokenizer's files, model.safetensors. From a Hugging Face source everything but the weights and their dtype is as it
 * was; from a GGUF the files are made so that token ids, template, generation defaults and logits are those of the
 * GGUF.
 *
 * A GGUF's tokenizer must be open (model_tokenizer), a folder's files are copied, whatever they say.
 *
 * The numbers come from the caller, weight by weight, so merging an adapter and full tuning write through the same
 * code. */
#ifndef MODEL_EXPORT_H
#define MODEL_EXPORT_H

#include "model/model.h"

struct export_weights {
	/* Weight i of the model as f32 in Hugging Face's order, [out][in] (as model_weight_float gives it): fills
	 * scratch, which holds the largest weight, and returns it, or returns numbers of its own. NULL: they cannot
	 * be had, and it has said so in the err that its caller has. */
	const float *(*get)(void *ctx, int i, float *scratch);
	/* A head of its own for a model whose head is the embedding; NULL: the two stay one. */
	const float *(*head)(void *ctx, float *scratch);
	void *ctx;
};

/* 0, or −1 and why there can be no such folder. */
int export_possible(const struct model *m, struct err *e);
/* Into dir, made if need be: each file beside and renamed, the weights last. dtype: F32, F16 or BF16. */
int export_model(const struct model *m, const char *dir, enum dtype dtype, const struct export_weights *w,
                 struct err *e);
/* The same as a whole: into a folder beside, renamed to dir, which must not exist or be empty. It looks at base/stop.h
 * and leaves nothing then; export_model goes on, for whoever saves what he has when he is asked to stop. */
int export_folder(const struct model *m, const char *dir, enum dtype dtype, const struct export_weights *w,
                  struct err *e);

/* The model's own numbers; ctx is the const struct model *. */
const float *export_own(void *ctx, int i, float *scratch);
/* Trained numbers, kept in the order of rows that the model's file has. */
struct export_trained {
	const struct model *model;
	const struct params *params;
	const int *param;               /* [n_weights] the parameter that replaces a weight, −1: the model's own */
};
const float *export_from_params(void *ctx, int i, float *scratch); /* ctx is a struct export_trained * */

/* What a model asks of generating, by transformers' names and by GGUF's. */
enum { EXPORT_WISHES = 5 };
struct export_wish {
	const char *json, *gguf;
	bool whole;                     /* an integer */
	bool draws;                     /* of no use where an answer is not drawn */
};
extern const struct export_wish export_wishes[EXPORT_WISHES];

size_t export_bytes(const struct model *m, enum dtype dtype);   /* of model.safetensors, its header left out */
size_t export_scratch(const struct model *m);                   /* bytes of scratch that get() may touch */

#endif
