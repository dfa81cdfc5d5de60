/* quant_mix: which type each tensor of a GGUF file gets when it is quantized: the rules of llama-quantize, by the names
 * that it has for them (q4_k_m, iq4_xs …).
 *
 * A mixture has one type for most matrices and better ones for those that matter most: the head, the values, the
 * down projections of some layers. What is small or steers (norms, biases, routers, positions, convolutions) stays as
 * it is. A matrix whose rows the type's block does not divide falls back to a type of blocks of 32, or to F16.
 * Source: llama-quant.cpp, of October 2026. Falcon's and two other architectures' rules are not known here. */
#ifndef FORMAT_QUANT_MIX_H
#define FORMAT_QUANT_MIX_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/dtype.h"

struct quant_mix {
	const char *name;
	uint32_t file_type;         /* general.file_type */
	enum dtype dtype;           /* of most matrices */
};

/* By its name, any case; what cannot be written is a sentence that says so. */
const struct quant_mix *quant_mix_find(const char *name, struct err *e);

struct quant_mix_rule { const char *pattern; enum dtype dtype; };  /* an expression, looked for in a tensor's name */

struct quant_mix_wish {
	const struct quant_mix *mixture;
	bool pure;                  /* all matrices in the one type */
	bool leave_output;          /* output.weight stays as it is */
	enum dtype output, embedding;       /* DTYPE_COUNT: by the rules */
	const struct quant_mix_rule *rules;   /* the first that fits is taken before the mixture's */
	size_t n_rules;
	bool importance;            /* there is an importance matrix */
};

struct quant_mix_facts {              /* of the model, by its metadata; 0: not there */
	const char *architecture;
	int64_t layers, heads, kv_heads, experts;
};

struct quant_mix_tensor {
	const char *name;
	int n_dims;
	uint64_t dim[4];            /* GGUF's order */
	enum dtype dtype;
	size_t index;               /* the caller's */
	/* filled: */
	enum dtype to;
	bool fell_back;
	const struct quant_mix_rule *rule;  /* the wish's that said so, or NULL */
};

/* By layer, then by name: the order in which llama.cpp counts layers and writes files. */
void quant_mix_sort(struct quant_mix_tensor *t, size_t n);
/* Fills `to` of all, which are sorted. Errors: an expression that is none, a type that no row fits or that is not
 * written, a mixture that wants an importance matrix. */
int quant_mix_choose(const struct quant_mix_wish *w, const struct quant_mix_facts *f, struct quant_mix_tensor *t,
                     size_t n, struct err *e);

#endif
