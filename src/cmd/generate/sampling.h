/* sampling: how an answer is drawn, as options that generate and chat share. */
#ifndef CMD_SAMPLING_H
#define CMD_SAMPLING_H

#include "base/opt.h"
#include "infer/sampler.h"
#include "model/model.h"

struct sampling {
	int64_t max_new_tokens, seed;
	void **steps;                  /* of sampler_steps */
	struct opt_list logit_bias, stop;
	const char *order;
};

#define SAMPLING_OPTS(s, f) \
	OPT_GROUP("Answer"), OPT_INT("max-new-tokens", s, f.max_new_tokens, "256", 1, 1 << 24, "longest answer"), \
		OPT_LIST("stop", s, f.stop, "TEXT", "ends the answer, is not part of it"), \
		OPT_ROWS(NULL, s, f.steps, sampler_steps), \
		OPT_LIST("logit-bias", s, f.logit_bias, "ID=V", \
	                 "added to a token's logit; V may be -inf"), \
		OPT_CHOICE("sampler-order", s, f.order, "transformers", "transformers|llama.cpp", \
	                   "llama.cpp: temperature last, typical-p before top-p"), \
		OPT_INT("seed", s, f.seed, "42", 0, 9007199254740991.0, "of the draws")

/* Warns of what the model's files ask of generating and these options do not do (infer/generate_known.h), and of what
 * is given for draws, `answers` of them, where nothing is drawn. */
int sampling_tell(const struct sampling *o, int64_t answers, const struct model *m, const struct opt_parse *p,
                  struct err *e);
/* A sampler for V tokens as asked for; -1 and a sentence for a bias that is none. sampling_release frees it. */
int sampling_begin(const struct sampling *o, size_t V, struct sampler *s, struct err *e);
void sampling_release(struct sampler *s);

#endif
