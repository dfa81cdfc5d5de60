/* laws: what others have measured of how models, data, batches and rates go together; each a formula with its source,
 * fitted where it says and a guess elsewhere. A ladder of one's own (learn/scaling_law.h) is better than any of them.
 *
 * N: parameters without the tables of tokens and the head (model/sizes.h, blocks); D: tokens trained on; C = 6·N·D:
 * floating-point operations of training. */
#ifndef TRAIN_LAWS_H
#define TRAIN_LAWS_H

#include <stdint.h>

struct law {
	const char *name;     /* "tokens a parameter" */
	const char *formula;  /* "D = 20 N" */
	const char *source;   /* "Hoffmann et al. 2022" */
	const char *fitted;   /* where: "N 70 M to 16 B, D 5 to 500 B" */
};
extern const struct law laws[];     /* all below, in their order; ends with name NULL */

enum { LAW_RATIO = 20 };            /* tokens a parameter at which a budget of operations is spent best */

/* The N and D on which C operations are spent best, at so many tokens a parameter (Hoffmann et al. 2022: 20; models of
 * 10⁸ parameters on filtered text were best at 8 to 12). */
void law_optimal(double flops, double ratio, double *n, double *tokens);
/* What D tokens are worth that are U unique ones over and over: U + U·R·(1 − exp(−(D/U − 1)/R)), R = 15.39.
 * Up to 4 epochs are nearly as good as fresh text (Muennighoff et al. 2023). */
double law_repeated(double unique, double tokens);
enum { LAW_EPOCHS = 4 };
/* The largest N that a text of `unique` tokens is enough for: LAW_EPOCHS times through it, LAW_RATIO tokens each. */
double law_size_of_text(double unique);
/* Tokens of a step, for the lowest loss: 0.58·D^0.571; the rate of AdamW there: 1.79·N^−0.713·D^0.307 (Li et al.
 * 2025, "step law"). */
double law_batch(double tokens);
double law_rate(double n, double tokens);
/* The same by the operations alone: 0.2920·C^0.3271 tokens and 0.3118·C^−0.1250 (Bi et al. 2024, DeepSeek LLM). */
double law_batch_of_flops(double flops);
double law_rate_of_flops(double flops);
/* A batch that was best for one number of tokens, for another: B·(D/D₀)^0.383 (Bergsma et al. 2025), and the rate of
 * Adam for another batch: η·√(B/B₀) (Malladi et al. 2022). */
double law_batch_for(double batch, double tokens_then, double tokens);
double law_rate_for(double rate, double batch_then, double batch);
/* Tokens of a vocabulary: 0.20·C^0.42 parameters of a table, over the model's width (Tao et al. 2024); a power of 2
 * from 512 to 131,072. */
int64_t law_vocabulary(double flops, int width);

#endif
