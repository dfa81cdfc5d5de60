/* sampling: how an answer is drawn, as options that generate and chat share. */
#ifndef CMD_SAMPLING_H
#define CMD_SAMPLING_H

#include "base/opt.h"
#include "infer/sampler.h"

struct sampling {
	int64_t max_new_tokens, top_k, repeat_last_n, seed;
	double temperature, top_p, min_p, typical_p, repetition_penalty, frequency_penalty, presence_penalty;
	struct opt_list logit_bias, stop;
	const char *order;
};

#define SAMPLING_OPTS(s, f) \
	OPT_GROUP("Answer"), OPT_INT("max-new-tokens", s, f.max_new_tokens, "256", 1, 1 << 24, "longest answer"), \
		OPT_LIST("stop", s, f.stop, "TEXT", "ends the answer, is not part of it; may be repeated"), \
		OPT_FLOAT("temperature", s, f.temperature, "0", 0, 100, \
	                  "0: always the likeliest token; 1: as the model says"), \
		OPT_INT("top-k", s, f.top_k, "0", 0, 1 << 24, "only the K likeliest tokens; 0: all"), \
		OPT_FLOAT("top-p", s, f.top_p, "1", 0, 1, "only the likeliest tokens that together reach this share"), \
		OPT_FLOAT("min-p", s, f.min_p, "0", 0, 1, \
	                  "only tokens with this share of the likeliest one's probability"), \
		OPT_FLOAT("typical-p", s, f.typical_p, "1", 0, 1, \
	                  "only the tokens nearest to what is expected, up to this share"), \
		{ OPT_TYPE_FLOAT, \
		  "repetition-penalty", \
		  "repeat-penalty", \
		  offsetof(s, f.repetition_penalty), \
		  "1", \
		  0.01, \
		  100, \
		  NULL, \
		  "X", \
		  "divides the logits of tokens that were there; 1: off" }, \
		OPT_FLOAT("frequency-penalty", s, f.frequency_penalty, "0", -100, 100, \
	                  "taken from a token's logit each time that it was there"), \
		OPT_FLOAT("presence-penalty", s, f.presence_penalty, "0", -100, 100, \
	                  "taken from a token's logit once when it was there"), \
		OPT_INT("repeat-last-n", s, f.repeat_last_n, "-1", -1, 1 << 24, \
	                "tokens that penalties look back at, the prompt's too; -1: all"), \
		OPT_LIST("logit-bias", s, f.logit_bias, "ID=V", \
	                 "added to a token's logit; V may be -inf; may be repeated"), \
		OPT_CHOICE("sampler-order", s, f.order, "transformers", "transformers|llama.cpp", \
	                   "llama.cpp: temperature last, typical-p before top-p"), \
		OPT_INT("seed", s, f.seed, "42", 0, 9007199254740991.0, "of the draws")

/* A sampler for V tokens as asked for; -1 and a sentence for a bias that is none. sampling_release frees it. */
int sampling_begin(const struct sampling *o, size_t V, struct sampler *s, struct err *e);
void sampling_release(struct sampler *s);

#endif
