/* loop: a training loop of one's own: a learning rate that starts again and again (SGDR), documents that count by the length of their answers, an
 * evaluation now and then, a checkpoint to go on from. The same command after an interruption continues.
 *     ./loop MODEL ROWS.jsonl EVAL.jsonl CHECKPOINT RESULT */
#include <kungfu.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { STEPS = 12, CYCLE = 4 };

static struct kf_error error;

static void check(int status)
{
	if (status >= 0)
		return;
	fprintf(stderr, "loop: %s\n", error.message);
	exit(1);
}

static void say(void *ctx, int level, const char *text)
{
	(void)ctx;
	printf("%s%s\n", level == KF_LOG_WARNING ? "warning: " : "", text);
}

/* Loshchilov and Hutter 2017: a cosine from the peak to zero, every CYCLE steps anew. */
static double rate(int64_t step)
{
	return 1e-3 * 0.5 * (1 + cos(M_PI * (double)(step % CYCLE) / CYCLE));
}

/* Documents of the next step count by the length of their answer: short ones are not drowned by long ones. */
static void weigh_next(struct kf_trainer *t)
{
	size_t documents[16], n;
	struct kf_document d;

	check(kf_trainer_next(t, documents, 16, &n, &error));
	for (size_t i = 0; i < n && i < 16; i++) {
		double learnt = 0;
		check(kf_trainer_document(t, documents[i], &d, &error));
		for (size_t j = 0; j < d.n; j++)
			learnt += d.learn[j];
		check(kf_trainer_set_weight(t, documents[i], 1 / learnt, &error));
	}
}

static void run(struct kf_trainer *t, const char *checkpoint)
{
	struct kf_step step;
	struct kf_scores scores;

	for (int status;;) {
		check(kf_trainer_set_learning_rate(t, rate(kf_trainer_steps_done(t)), &error));
		weigh_next(t);
		check(status = kf_trainer_step(t, &step, &error));
		if (status == KF_DONE)
			return;
		printf("step %lld  rate %.2e  loss %.4f\n", (long long)step.step, step.learning_rate, step.loss);
		if (step.step % CYCLE)
			continue;
		check(kf_trainer_evaluate(t, &scores, &error));
		printf("eval_loss %.4f\n", scores.loss);
		check(kf_trainer_save(t, checkpoint, "one cycle more", &error));
	}
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return fprintf(stderr, "usage: loop MODEL ROWS.jsonl EVAL.jsonl CHECKPOINT RESULT\n"), 2;
	struct kf_option options[] = { { "model", argv[1] }, { "data", argv[2] }, { "eval-data", argv[3] }, { "max-steps", "12" },
	                               { "per-device-train-batch-size", "2" }, { NULL, NULL } };
	struct kf_settings settings = { .log = say };
	struct kf_trainer *t;
	struct kf_plan plan;
	struct stat there;
	char *note = NULL;

	check(kf_trainer_open(&t, options, &settings, &error));
	check(kf_trainer_plan(t, &plan, &error));
	printf("%lld steps, %.1f MB of memory\n", (long long)plan.steps, (double)plan.memory_bytes / 1e6);
	check(kf_trainer_start(t, &error));
	if (stat(argv[4], &there) == 0) {
		check(kf_trainer_load(t, argv[4], &note, &error));
		printf("going on after step %lld (%s)\n", (long long)kf_trainer_steps_done(t), note ? note : "");
		kf_free(note);
	}
	run(t, argv[4]);
	check(kf_trainer_result(t, argv[5], &error));
	kf_trainer_free(t);
	return 0;
}
