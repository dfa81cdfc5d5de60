/* run_score: what a run has gained beside what it has forgotten, of the numbers that its folder has. */
#ifndef CMD_RUN_SCORE_H
#define CMD_RUN_SCORE_H

#include "base/arena.h"
#include "chart/chart.h"
#include "train/run_log.h"

struct run_score {
	const char *metric;            /* the first that there is: eval_acc, eval_rewards/accuracies, eval_loss */
	double value, error;           /* at the end; its standard error, 0: not known */
	/* How much better that is than before the first step (--eval-on-start): a loss gains as it falls. NAN: it was
	 * not evaluated then. */
	double gain;
};

/* false: it has not been evaluated, or not on `metric`, where that is not NULL */
bool run_score(const struct run_log *l, const char *metric, struct run_score *out);
/* Into a line of JSON: "gain", "gain_of", where they are known, "forgetting_kl", "forgetting_kl_stderr". */
void run_score_put(json_t *line, const struct run_log *l);
/* A point a run, with bars of 95 %: to the right KL(before ‖ after) a token, upwards the gain, of runs that were not
 * evaluated before the first step the score. All in mem. Returns how many runs have both, n_series 0 where none has. */
size_t run_score_chart(struct chart *c, const struct run_log *runs, size_t n, struct arena *mem);

#endif
