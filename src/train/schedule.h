/* schedule: the learning rate as a function of the step, as transformers' get_scheduler: linear warm-up from 0 (step 0
 * has rate 0 when there is a warm-up), then linear | cosine | constant | wsd (warm-up, stable, decay). */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

struct schedule {
	const char *type;          /* "linear" "cosine" "constant" "wsd" */
	long steps, warmup_steps, decay_steps; /* decay_steps: of wsd */
	double min_ratio;          /* final rate over peak */
};
double schedule_factor(const struct schedule *s, long step); /* step from 0 */

#endif
