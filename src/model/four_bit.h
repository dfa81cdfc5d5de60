/* four_bit: a float base whose linears become 4-bit floats as it is read (QLoRA's base; Dettmers et al. 2023), as
 * transformers' BitsAndBytesConfig(load_in_4bit=True) makes them with dtype=float32: bits of quant/nf4.h.
 *
 * Which: every matrix of a linear but the head, what classifies, a router, and experts' matrices, which transformers
 * has in one tensor that bitsandbytes leaves alone. Embeddings, norms and biases stay as they are. Rows that are no
 * multiple of 64 stay too, and it is said. */
#ifndef MODEL_FOUR_BIT_H
#define MODEL_FOUR_BIT_H

#include "base/opt.h"
#include "base/pool.h"
#include "model/model.h"

struct four_bit_options {
	bool on;
	const char *type;              /* "nf4", "fp4", NULL: nf4 */
	bool nested;
};
#define FOUR_BIT_OPTS(s, f) \
	OPT_FLAG("load-in-4bit", s, f.on, "false", \
	         "a float model's linears become 4-bit floats as it is read, as bitsandbytes has them"), \
		OPT_CHOICE("bnb-4bit-quant-type", s, f.type, NULL, "nf4|fp4", \
	                   "--load-in-4bit: places of the normal distribution (the default here; transformers' is " \
	                   "fp4), or floats of 4 bits"), \
		OPT_FLAG("bnb-4bit-use-double-quant", s, f.nested, "false", \
	                 "--load-in-4bit: the scales are quantized too, 4.13 bits a weight instead of 4.5")

static inline const char *four_bit_type(const struct four_bit_options *o) { return o->type ? o->type : "nf4"; }
/* The options alone: −1 and a sentence where something is said of what is off. */
int four_bit_check(const struct four_bit_options *o, struct err *e);
/* Of a model just opened; nothing where it is off. m->in_4bit and m->four_bit say what was done. */
int model_load_in_4bit(struct model *m, const struct four_bit_options *o, struct pool *p, struct err *e);
/* Whether a model has matrices of this form, whether they became so or its files have them. */
bool four_bit_is(const struct model *m, const struct four_bit_options *o);
/* ‖W − Q‖ / ‖W‖ over all that was quantized. */
double four_bit_error(const struct model *m);
/* BitsAndBytesConfig of what was done, as a JSON line in mem; NULL where nothing was. */
const char *four_bit_config(const struct model *m, struct arena *mem);
/* What such a line says; −1 and a sentence. */
int four_bit_parse(const char *line, const char *where, struct four_bit_options *out, struct err *e);

#endif
