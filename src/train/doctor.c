/* doctor: means of two windows, and what they say. See doctor.h. */
#include "train/doctor.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* Bands, in what a reader would call much. */
static const double flat_most = 0.9, cut_most = 0.5, entropy_least = 0.02, entropy_share = 0.05, entropy_grown = 2,
	noise = 0.9 /* of ln V */, kl_warn = 1, kl_most = 10, correlated = 0.7, grown = 1.5, sure = 3, certain = 5;

static double *field(struct doctor_step *s, int i) { return (double *)s + i; }

/* Each number's mean over the window; standard errors are those of a mean of independent steps. */
static struct doctor_step mean_of(const struct doctor *d)
{
	struct doctor_step m = { 0 };
	int n = (int)(sizeof(m) / sizeof(double));

	for (int k = 0; k < DOCTOR_WINDOW; k++)
		for (int i = 0; i < n; i++)
			*field(&m, i) += *field((struct doctor_step *)(uintptr_t)&d->now[k], i) / DOCTOR_WINDOW;
	m.reward_stderr /= sqrt(DOCTOR_WINDOW);
	m.held_stderr /= sqrt(DOCTOR_WINDOW);
	return m;
}

static void tell(struct doctor *d, enum doctor_sign sign, bool is, bool hopeless, const char *why)
{
	if (is && !d->told[sign])
		log_warn("the last %d steps: %s", DOCTOR_WINDOW, why);
	d->told[sign] = is;
	if (hopeless && !d->hopeless[0])
		snprintf(d->hopeless, sizeof(d->hopeless), "%s", why);
}

static void look_at_groups(struct doctor *d, const struct doctor_step *m)
{
	char why[300];

	snprintf(why, sizeof(why), "of %.0f %% of the prompts all answers are worth the same (%.3g on the mean), so "
	         "there is nothing to learn from them: other prompts, a higher --temperature or more --num-generations "
	         "may help", 100 * m->flat, m->reward);
	tell(d, SIGN_FLAT, m->flat >= flat_most,
	     m->flat > 0.999 && m->reward <= d->start.reward + sure * d->start.reward_stderr, why);
	snprintf(why, sizeof(why), "%.0f %% of the answers are cut at --max-completion-length", 100 * m->cut);
	tell(d, SIGN_CUT, m->cut > cut_most, false, why);
}

static void look_at_policy(struct doctor *d, const struct doctor_step *m)
{
	bool gone = m->entropy < entropy_least && m->entropy < entropy_share * d->start.entropy;
	bool away = m->entropy > entropy_grown * d->start.entropy && m->entropy > d->start.entropy + 1;
	char why[300];

	snprintf(why, sizeof(why), "the answers' entropy has gone from %.3g to %.3g nats a token: %s; a lower "
	         "--learning-rate or some --beta may help", d->start.entropy, m->entropy,
	         gone ? "nearly nothing else is tried any more" : "they turn to noise");
	tell(d, SIGN_ENTROPY, gone || away, m->entropy > noise * d->most_entropy && away, why);
	snprintf(why, sizeof(why), "the KL to the reference is %.3g nats a token: a higher --beta or a lower "
	         "--learning-rate may help", m->kl);
	tell(d, SIGN_KL, m->kl > kl_warn, m->kl > kl_most, why);
}

static void look_at_reward(struct doctor *d, const struct doctor_step *m)
{
	const struct doctor_step *s = &d->start;
	double off = hypot(m->reward_stderr, s->reward_stderr), held_off = hypot(m->held_stderr, s->held_stderr);
	bool rises = m->reward - s->reward > sure * off;
	char why[300];

	snprintf(why, sizeof(why), "longer answers are worth more (correlation %.2f) and they grow, from %.0f to %.0f "
	         "tokens: the reward may be of length alone", m->with_length, s->length, m->length);
	tell(d, SIGN_LENGTH, m->with_length > correlated && m->length > grown * s->length, false, why);
	snprintf(why, sizeof(why), "the reward has gone from %.3g to %.3g while what is only measured went from %.3g "
	         "to %.3g: it is outwitted", s->reward, m->reward, s->held, m->held);
	tell(d, SIGN_DRIFT, rises && s->held - m->held > sure * held_off,
	     rises && s->held - m->held > certain * held_off, why);
	snprintf(why, sizeof(why), "the reward has fallen from %.3g to %.3g: a lower --learning-rate may help",
	         s->reward, m->reward);
	tell(d, SIGN_FALL, off > 0 && s->reward - m->reward > sure * off,
	     off > 0 && s->reward - m->reward > 2 * certain * off, why);
}

void doctor_see(struct doctor *d, const struct doctor_step *s)
{
	if (!strcmp(d->mode, "off"))
		return;
	d->now[d->n++ % DOCTOR_WINDOW] = *s;
	if (d->n < DOCTOR_WINDOW)
		return;
	struct doctor_step m = mean_of(d);
	if (d->n == DOCTOR_WINDOW)
		d->start = m;
	look_at_groups(d, &m);
	look_at_policy(d, &m);
	look_at_reward(d, &m);
}

int doctor_verdict(const struct doctor *d, struct err *e)
{
	if (strcmp(d->mode, "stop") != 0 || !d->hopeless[0])
		return 0;
	return err_set(e, "the doctor stops the run: %s; the checkpoints before stay (--doctor warn goes on)",
	               d->hopeless);
}
