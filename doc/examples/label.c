/* label: what a folder of kungfu adapt or kungfu probe answers to each text: its label with its chance; where it
 * answers by a text, or a cascade's cheap way is not sure, what the model writes.
 *     ./label DIR "TEXT" … */
#include <kungfu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kf_error error;

static void check(int status)
{
	if (status >= 0)
		return;
	fprintf(stderr, "label: %s\n", error.message);
	exit(1);
}

/* The model of the folder, opened where it is wanted first. */
static void write_answer(struct kf_model **model, const char *path, const char *text)
{
	struct kf_generate_options options = { .max_new_tokens = 16 };
	struct kf_generation answer;
	struct kf_session *session;
	int32_t *ids;
	size_t n;

	if (!*model)
		check(kf_model_open(model, path, &error));
	check(kf_session_new(&session, *model, NULL, 0, NULL, &error));
	check(kf_ask(*model, text, strlen(text), &ids, &n, &error));
	check(kf_session_generate(session, ids, n, &options, &answer, &error));
	printf("written: %s\n", answer.text);
	kf_free(ids);
	kf_session_free(session);
}

int main(int argc, char **argv)
{
	struct kf_labeller *labeller = NULL;
	struct kf_model *model = NULL;

	if (argc < 3)
		return fprintf(stderr, "usage: label DIR TEXT …\n"), 2;
	if (kf_labeller_open(&labeller, argv[1], NULL, &error) < 0)
		check(kf_model_open(&model, argv[1], &error)); /* it says no labels */
	for (int i = 2; i < argc; i++) {
		double *chances = calloc(kf_labeller_count(labeller) + 1, sizeof(*chances));
		int32_t label = -1;
		if (labeller)
			check(kf_labeller_say(labeller, argv[i], strlen(argv[i]), &label, chances, &error));
		if (label >= 0)
			printf("%s %.4f\n", kf_labeller_name(labeller, (size_t)label), chances[label]);
		else
			write_answer(&model, argv[1], argv[i]);
		free(chances);
	}
	kf_labeller_free(labeller);
	kf_model_free(model);
	return 0;
}
