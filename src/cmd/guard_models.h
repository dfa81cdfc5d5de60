/* guard_models: what models say of a text beside a guard's rules (guard/guard.h).
 *
 *     classifier   a label's probability, by a model that classifies or a folder of probe, of each piece of the text
 *     perplexity   exp(mean −log p) of the tokens of a window, half of it into the one before, under a causal model
 *                  (Jain et al. 2023: suffixes that were searched for read as nothing)
 *
 * A piece or window above its threshold is a finding "classifier.LABEL", "perplexity.window" with its place. */
#ifndef CMD_GUARD_MODELS_H
#define CMD_GUARD_MODELS_H

#include "cmd/model_common.h"
#include "guard/perplexity.h"

struct guard_models_options {
	const char *classifier, *label, *verdict;
	double threshold;
	double perplexity;             /* NAN or 0: not looked at */
	int64_t window;
	const char *odd_verdict;
};
#define GUARD_CLASSIFIER_OPTS(prefix, s, f) \
	OPT_STRING(prefix "classifier", s, f.classifier, NULL, "MODEL", \
	           "a model that classifies, or a folder of probe, looks at texts too"), \
		OPT_STRING(prefix "classifier-label", s, f.label, "injection", "NAME", "the label that is wanted"), \
		OPT_FLOAT(prefix "classifier-threshold", s, f.threshold, "0.5", 0, 1, "from which probability on"), \
		OPT_CHOICE(prefix "classifier-verdict", s, f.verdict, "refuse", "flag|redact|refuse", \
	                   "what it is then")
#define GUARD_PERPLEXITY_OPTS(prefix, s, f) \
	OPT_FLOAT(prefix "perplexity", s, f.perplexity, NULL, 1, 1e30, \
	          "texts with a window of tokens above this perplexity under the model are findings"), \
		OPT_INT(prefix "perplexity-window", s, f.window, "24", 2, 4096, "tokens of such a window"), \
		OPT_CHOICE(prefix "perplexity-verdict", s, f.odd_verdict, "flag", "flag|redact|refuse", \
	                   "what it is then")

struct guard_models;

/* NULL in *x where none is asked for. device: NULL is app's. */
int guard_models_open(struct guard_models **x, struct app *app, const struct guard_models_options *o,
                      struct device *device, struct err *e);
/* The options of that. */
struct guard_perplexity guard_models_perplexity(const struct guard_models_options *o);
/* Whose perplexity is looked at, else nobody's is; borrowed. x may be NULL. */
void guard_models_causal(struct guard_models *x, struct loaded *l);
/* Findings are added to r's, which are of the same text. One text after the other. */
int guard_models_look(struct guard_models *x, const char *text, size_t n, struct guard_result *r, struct err *e);
void guard_models_close(struct guard_models *x);

#endif
