/* schedule: the learning rate as a function of the step, as transformers' get_scheduler: linear warm-up from 0 (step 0
 * has rate 0 when there is a warm-up), then a course that has one of SCHEDULE_TYPES as its name. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

/* constant_with_warmup means constant, cosine_with_min_lr cosine, warmup_stable_decay wsd. */
#define SCHEDULE_TYPES \
	"linear|cosine|constant|wsd|inverse_sqrt|polynomial|constant_with_warmup|cosine_with_min_lr|warmup_stable_decay"
/* How wsd falls. */
#define SCHEDULE_DECAYS "cosine|linear|1-sqrt"

struct schedule {
	const char *type;          /* of SCHEDULE_TYPES */
	long steps, warmup_steps, decay_steps; /* decay_steps: of wsd */
	double min_ratio;          /* final rate over peak */
	const char *decay;         /* of wsd, of SCHEDULE_DECAYS; NULL: cosine */
	double power;              /* of polynomial; 0: 1 */
	long timescale;            /* of inverse_sqrt; 0: warmup_steps, without those 10,000 */
};
double schedule_factor(const struct schedule *s, long step); /* step from 0 */

#endif
