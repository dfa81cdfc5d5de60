/* tune: a model learns from rows (a LoRA), and answers with what it learnt.
 *     cc tune.c $(pkg-config --cflags --libs kungfu) -o tune && ./tune MODEL ROWS.jsonl ADAPTER "QUESTION" */
#include <kungfu.h>
#include <stdio.h>
#include <stdlib.h>

static struct kf_error error;

static int check(int status)
{
	return status >= 0 ? status : (fprintf(stderr, "tune: %s\n", error.message), exit(1), status);
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return fprintf(stderr, "usage: tune MODEL ROWS.jsonl ADAPTER QUESTION\n"), 2;
	struct kf_option options[] = { { "model", argv[1] }, { "data", argv[2] }, { "max-steps", "8" }, { "learning-rate", "1e-3" }, { NULL, NULL } };
	struct kf_trainer *trainer;
	struct kf_step step;
	check(kf_trainer_open(&trainer, options, NULL, &error));
	check(kf_trainer_start(trainer, &error));
	while (check(kf_trainer_step(trainer, &step, &error)) != KF_DONE)
		printf("step %lld: loss %.4f\n", (long long)step.step, step.loss);
	check(kf_trainer_result(trainer, argv[3], &error));
	kf_trainer_free(trainer);
	struct kf_model *model;
	struct kf_adapter *adapter;
	struct kf_session *session;
	struct kf_generation answer;
	int32_t *ids;
	size_t n;
	check(kf_model_open(&model, argv[1], &error));
	check(kf_adapter_open(&adapter, model, argv[3], &error));
	check(kf_session_new(&session, model, adapter, 0, NULL, &error));
	check(kf_chat(model, &(struct kf_message){ "user", argv[4] }, 1, &ids, &n, &error));
	check(kf_session_generate(session, ids, n, &(struct kf_generate_options){ .max_new_tokens = 32 }, &answer, &error));
	printf("%s\n", answer.text);
	kf_free(ids), kf_session_free(session), kf_adapter_free(adapter), kf_model_free(model);
}
