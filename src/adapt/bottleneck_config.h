/* bottleneck_config: adapter_config.json of the `adapters` library (BnConfig), as it says what a bottleneck does and
 * where: read from a file, or made from one of its names.
 *
 * Outside, the file says of which model the adapter is and what it is called (name, in every tensor's name too);
 * inside, under "config", are BnConfig's keys. Not done: what looks at a whole text (use_gating), works on embeddings
 * (inv_adapter), shares factors (phm_layer) or leaves layers out by chance (stochastic_depth). */
#ifndef ADAPT_BOTTLENECK_CONFIG_H
#define ADAPT_BOTTLENECK_CONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "kernel/activation.h"

struct bottleneck_config {
	bool at[2];                    /* by enum sublayer: mh_adapter, output_adapter */
	bool parallel;                 /* its input is the half's, not what the half made */
	bool sum_before, sum_after;    /* original_ln_before, original_ln_after */
	bool ln_before, ln_after;      /* norms of its own */
	bool residual_in_norm;         /* adapter_residual_before_ln: ln_after is of the sum */
	/* what is added to its product: what the half made, that and the half's input, the norm of these */
	enum { RESIDUAL_MADE, RESIDUAL_SUM, RESIDUAL_NORMED } residual;
	enum { SCALING_GIVEN, SCALING_NUMBER, SCALING_CHANNEL } scaling; /* the last two are learnt */
	float by;                      /* the given one */
	float dropout;
	bool linear;                   /* no activation */
	enum activation f;
	enum { INIT_BERT, INIT_MAM, INIT_HOULSBY } init;
	const json_t *reduction, *left_out; /* borrowed */
};

/* Refuses by name what has a value and is not done. */
int bottleneck_read(struct bottleneck_config *c, const json_t *config, int layers, struct err *e);
/* Numbers between the two products of a layer, of C; 0: the layer has none. −1 and a sentence. */
int bottleneck_width(const struct bottleneck_config *c, int layer, int C, struct err *e);
/* BnConfig's keys of "seq_bn" or the like, or of "seq_bn[ln_after=True, reduction_factor=8]", as the library writes
 * them; reduction: the factor, NAN: as named. New; NULL and a sentence. */
json_t *bottleneck_make(const char *text, double reduction, struct err *e);
/* The learning rate that is taken where nobody says one. */
double bottleneck_rate(const char *text);

#endif
