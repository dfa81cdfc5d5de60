/* serve_adapted: the parts of an artefact as `generate` has them: what stands before a question comes as the bytes that
 * adapt kept, as turns where a chat template writes them, else as a text. A folder of `kungfu probe` has no base whose
 * tokens the calls could tell, so it is refused by its name. */
#include "cmd/serve/serve_adapted.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"

static int open_labels(struct serve_adapted *x, const char *path, struct device *d, struct err *e)
{
	x->says = x->a.first || x->a.learner;
	x->labels_alone = x->a.learner != NULL;
	if (x->labels_alone)
		x->model = json_string_value(json_object_get(x->a.json, "base"));
	return x->says ? sayer_open(&x->sayer, path, d, e) : 0;
}

int serve_adapted_open(struct serve_adapted *x, const char *path, struct sources_options *o, struct device *d,
                       struct err *e)
{
	*x = (struct serve_adapted){ .model = path };
	if (!adapted_is(path))
		return learner_is_in(path) ?
		               err_set(e, "%s has a learner of labels alone: kungfu classify and the library take it, "
		                          "serve what kungfu adapt left", path) : 0;
	if (adapted_open(&x->a, path, e) < 0)
		return -1;
	x->open = true;
	if (x->a.prompt && !(x->saved = jsonx_load_file(x->a.prompt, e)))
		return -1;
	if (x->a.documents && sources_wanted(o))
		return err_set(e, "%s has documents of its own", path);
	if (x->a.documents)
		sources_of_artefact(o, x->kept_documents = json_incref((json_t *)x->a.documents));
	return open_labels(x, path, d, e);
}

int serve_adapted_before(struct serve_adapted *x, bool template_, struct err *e)
{
	struct fewshot_options how = { .template_ = template_, .asks = true };

	bool texts = x->open && x->a.asked && !strcmp(x->a.asked, ADAPTED_TEXTS);

	x->raw = !template_ || texts || json_object_get(x->saved, "text");
	if (texts && template_ && !x->labels_alone)
		log_say("%s is asked as it was measured: one question, a text, without a chat template", x->model);
	how.chat = !x->raw;
	if (x->saved && fewshot_load(&x->before, x->saved, &how, e) < 0)
		return err_prefix(e, "%s", x->a.prompt);
	return 0;
}

void serve_adapted_close(struct serve_adapted *x)
{
	fewshot_free(x->before);
	json_decref(x->saved);
	json_decref(x->kept_documents);
	if (x->says)
		sayer_close(&x->sayer);
	if (x->open)
		adapted_close(&x->a);
}
