/* score: which of several answers a model finds likeliest, all of them computed in one batch: the question that they share is read once.
 *     ./score MODEL "QUESTION" "ANSWER" "ANSWER" … */
#include <kungfu.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kf_error error;

static void check(int status)
{
	if (status >= 0)
		return;
	fprintf(stderr, "score: %s\n", error.message);
	exit(1);
}

static void *room(size_t n, size_t size)
{
	void *p = calloc(n, size);
	if (!p)
		abort();
	return p;
}

/* The question's tokens, then the answer's, which alone are scored. */
static struct kf_document join(const struct kf_model *m, const int32_t *question, size_t n_question, const char *answer)
{
	int32_t *ids, *all;
	uint8_t *learn;
	size_t n;

	check(kf_encode(m, answer, KF_WHOLE, 0, &ids, &n, &error));
	all = room(n_question + n, sizeof(*all));
	learn = room(n_question + n, sizeof(*learn));
	memcpy(all, question, n_question * sizeof(*all));
	if (n)
		memcpy(all + n_question, ids, n * sizeof(*all));
	memset(learn + n_question, 1, n);
	kf_free(ids);
	return (struct kf_document){ .ids = all, .learn = learn, .n = n_question + n };
}

int main(int argc, char **argv)
{
	struct kf_model *model;
	struct kf_evaluator *evaluator;
	int32_t *question;
	size_t n_question, n = argc > 3 ? (size_t)argc - 3 : 0;

	if (n == 0)
		return fprintf(stderr, "usage: score MODEL QUESTION ANSWER …\n"), 2;
	struct kf_document *documents = room(n, sizeof(*documents));
	double *sum = room(n, sizeof(*sum));
	float **each = room(n, sizeof(*each));

	check(kf_model_open(&model, argv[1], &error));
	check(kf_chat(model, &(struct kf_message){ "user", argv[2] }, 1, &question, &n_question, &error));
	for (size_t i = 0; i < n; i++) {
		documents[i] = join(model, question, n_question, argv[3 + i]);
		each[i] = room(documents[i].n, sizeof(float));
	}
	check(kf_evaluator_new(&evaluator, model, NULL, NULL, NULL, &error));
	check(kf_evaluator_score(evaluator, documents, n, sum, each, &error));
	for (size_t i = 0; i < n; i++) {
		size_t tokens = documents[i].n - n_question;
		printf("%10.4f  %8.4f a token  %s\n", sum[i], tokens ? sum[i] / (double)tokens : 0.0, argv[3 + i]);
		free((void *)documents[i].ids);
		free((void *)documents[i].learn);
		free(each[i]);
	}
	kf_free(question);
	kf_evaluator_free(evaluator);
	kf_model_free(model);
	free(documents);
	free(sum);
	free(each);
	return 0;
}
