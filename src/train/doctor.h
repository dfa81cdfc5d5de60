/* doctor: whether learning from rewards still goes well. After every step it is told what was seen, and looks at the
 * last ten steps and at the ten that this process began with:
 *
 *     flat       answers to one prompt are all worth the same, so nothing is learnt from it
 *     entropy    of the answers: nearly none is left, or it runs away
 *     kl         to the reference, where one is kept near
 *     length     what is longer is worth more, and answers have grown: the reward is of length, not of what was meant
 *     cut        answers reach --max-completion-length
 *     drift      the reward rises while what is only measured (a reward of weight 0) falls: the reward is outwitted
 *                (Gao and others 2022)
 *     fall       the reward itself falls
 *
 * Each sign is told once, and again when it had gone. What leaves no hope ends the run with a sentence, before the next
 * answers are drawn; earlier checkpoints stay. A run that goes on begins with a new window. */
#ifndef TRAIN_DOCTOR_H
#define TRAIN_DOCTOR_H

#include <stdbool.h>

#include "base/err.h"

#define DOCTOR_OPT(s, f) \
	OPT_CHOICE("doctor", s, f, "stop", "off|warn|stop", \
	           "looks after every step at rewards, entropy, KL, lengths; stop: and ends what is hopeless")

enum { DOCTOR_WINDOW = 10 };

struct doctor_step {
	double flat;                   /* share of the prompts whose answers are all worth the same */
	double reward, reward_stderr;
	double held, held_stderr;      /* mean of what is only measured; NAN: nothing is */
	double entropy, kl;            /* a token, in nats; kl NAN: not measured */
	double length, with_length;    /* of answers, in tokens; correlation of reward with it, NAN: there is none */
	double cut;                    /* share of the answers */
};

enum doctor_sign { SIGN_FLAT, SIGN_ENTROPY, SIGN_KL, SIGN_LENGTH, SIGN_CUT, SIGN_DRIFT, SIGN_FALL, DOCTOR_SIGNS };

struct doctor {
	const char *mode;              /* "off", "warn", "stop" */
	double most_entropy;           /* ln V */
	/* the rest is its own; zero at first */
	struct doctor_step start, now[DOCTOR_WINDOW]; /* start: mean of the first window */
	long n;                        /* steps that it was told of */
	bool told[DOCTOR_SIGNS];
	char hopeless[400];            /* why; "" */
};

void doctor_see(struct doctor *d, const struct doctor_step *s);
/* −1: it is hopeless, and wanted to stop then. */
int doctor_verdict(const struct doctor *d, struct err *e);

#endif
