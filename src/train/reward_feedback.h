/* reward_feedback: what people's comparisons say that an answer is worth, without a reward model that was trained
 * before: a Bradley-Terry head on the states of the model itself, fitted in seconds when the run begins.
 *
 *     reward(x) = w·h(x)     h(x): the state of the last token of prompt and answer in one layer of the model as its
 *                            file has it, each number over its deviation
 *     w                      least  1/n·Σ −log σ(w·(h(chosen) − h(rejected))) + ½/(C·n)·‖w‖²
 *
 * Layer (of the middle, three quarters up, the last) and C are those with the least loss on prompts that the fit has
 * not seen, five parts in turn. What it is right in there is told, and a head that is no better than chance is refused:
 * a policy would learn noise. Everything follows from the file, the model and the seed; labels that come later are not
 * learnt from until another run. */
#ifndef TRAIN_REWARD_FEEDBACK_H
#define TRAIN_REWARD_FEEDBACK_H

#include "data/document.h"
#include "train/reward.h"

struct reward_feedback;

/* path: a file of feedback, or preference rows. */
int reward_feedback_open(struct reward_feedback **out, const char *path, const struct reward_policy *policy,
                         struct err *e);
int reward_feedback_judge(struct reward_feedback *r, const struct reward_case *c, size_t n, double *out, struct err *e);
size_t reward_feedback_bytes(const struct reward_feedback *r);  /* that judging takes */
void reward_feedback_close(struct reward_feedback *r);

#endif
