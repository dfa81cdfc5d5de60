/* adapted_options: the artefact's parts go to where options would have put them, so that a command does not tell them
 * from its own; beside options of the same kind they are refused. See adapted_options.h. */
#include "cmd/adapted_options.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "ladder/adapted.h"

static int take_prompt(struct adapted_options *x, const struct adapted *a, const char *path,
                       struct in_context_options *to, struct err *e)
{
	if (!a->prompt || !to)
		return 0;
	if (in_context_wanted(to))
		return err_set(e, "%s has an instruction or examples of its own", path);
	json_t *saved = jsonx_load_file(a->prompt, e);
	if (!saved)
		return -1;
	x->texts |= json_is_string(json_object_get(saved, "text"));
	json_decref(saved);
	to->prompt = x->prompt = mem_strdup(a->prompt);
	return 0;
}

static int take_documents(struct adapted_options *x, const struct adapted *a, const char *path,
                          struct sources_options *to, struct err *e)
{
	if (!a->documents)
		return 0;
	if (!to)
		return err_set(e, "%s answers from documents: kungfu eval, generate, chat and serve take it", path);
	if (sources_wanted(to))
		return err_set(e, "%s has documents of its own", path);
	sources_of_artefact(to, x->documents = json_incref((json_t *)a->documents));
	return 0;
}

int adapted_options_take(struct adapted_options *x, const char *path, const struct adapted_places *to, struct err *e)
{
	struct adapted a;

	*x = (struct adapted_options){ 0 };
	if (!adapted_is(path))
		return 0;
	if (adapted_open(&a, path, e) < 0)
		return -1;
	x->texts = a.asked && !strcmp(a.asked, ADAPTED_TEXTS);
	x->turns = a.asked && !strcmp(a.asked, ADAPTED_TURNS);
	if (to->calibrate && a.calibrate && !strcmp(a.calibrate, "contextual"))
		*to->calibrate = "contextual";
	int status = take_prompt(x, &a, path, to->context, e);
	if (status == 0)
		status = take_documents(x, &a, path, to->documents, e);
	adapted_close(&a);
	return status;
}

void adapted_options_release(struct adapted_options *x)
{
	mem_free(x->prompt);
	json_decref(x->documents);
	*x = (struct adapted_options){ 0 };
}
