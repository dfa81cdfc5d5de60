/* text_vectors: a vector of length 1 for each of some texts, for who compares them by their cosine. By the model's own
 * files where it is one that embeds (infer/embed_settings.h), else the mean of its states over the text's tokens. */
#ifndef INFER_TEXT_VECTORS_H
#define INFER_TEXT_VECTORS_H

#include "infer/embed_settings.h"

struct text_vectors {              /* with what; borrowed */
	struct model *model;           /* prepared, with its tokenizer */
	const struct overlay *overlay; /* or NULL */
	struct device *device;
	int32_t max_tokens;            /* computed at once */
	/* as scorer_run's; may be NULL */
	int (*progress)(void *ctx, size_t done, size_t total);
	void *ctx;
	/* Nothing is computed: vectors are 0, and what they would take is counted. */
	bool dry;
	double flops, int_ops;         /* all operations so far, of them those in int8; dry: that it would take */
	double seconds;                /* dry: that it would take */
	size_t bytes;                  /* of work space, the most */
};

/* out: [n][the model's width]. A text that is longer than the model's context loses its end. */
int text_vectors_make(struct text_vectors *t, const char *const *texts, size_t n, float *out, struct err *e);

#endif
