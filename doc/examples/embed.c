/* embed: which of several texts is most like a question, by the angle between their vectors: a small search.
 *     ./embed MODEL "QUESTION" "TEXT" "TEXT" … */
#include <kungfu.h>
#include <stdio.h>
#include <stdlib.h>

static struct kf_error error;

static void check(int status)
{
	if (status >= 0)
		return;
	fprintf(stderr, "embed: %s\n", error.message);
	exit(1);
}

static double dot(const float *a, const float *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)a[i] * b[i];
	return sum;
}

int main(int argc, char **argv)
{
	struct kf_embed_options options = { .normalize = 1 };
	struct kf_model *model;
	struct kf_evaluator *evaluator;
	float *vector;
	size_t width, n = argc > 3 ? (size_t)argc - 2 : 0, best = 1;

	if (n == 0)
		return fprintf(stderr, "usage: embed MODEL QUESTION TEXT …\n"), 2;
	check(kf_model_open(&model, argv[1], &error));
	check(kf_evaluator_new(&evaluator, model, NULL, NULL, NULL, &error));
	check(kf_embed(evaluator, (const char *const *)argv + 2, n, &options, &vector, &width, &error));
	for (size_t i = 1; i < n; i++) {
		double like = dot(vector, vector + i * width, width);
		printf("%7.4f  %s\n", like, argv[2 + i]);
		best = like > dot(vector, vector + best * width, width) ? i : best;
	}
	printf("most like it: %s\n", argv[2 + best]);
	kf_free(vector);
	kf_evaluator_free(evaluator);
	kf_model_free(model);
	return 0;
}
