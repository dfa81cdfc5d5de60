/* api_labeller: kf_labeller: what kungfu adapt or kungfu probe left where a label answers (ladder/sayer.h). */
#include <string.h>

#include "api/handles.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "infer/labeller.h"
#include "ladder/sayer.h"

struct kf_labeller {
	struct handle handle;
	struct sayer sayer;
	struct pool *pool;
	struct device device;
};

int kf_labeller_open(struct kf_labeller **out, const char *path, const struct kf_settings *settings,
                     struct kf_error *error)
{
	struct call c;

	if (out)
		*out = NULL;
	if (call_open(&c, settings, error) < 0)
		return KF_MISUSE;
	if (!out || !is_path(path))
		return call_misuse(&c, "%s was wanted, found %s",
		                   out ? "the path of a folder" : "a place for the labeller",
		                   out && path ? path : "NULL");
	const struct kernels *k = kernels_get(NULL, &c.err);
	if (!k)
		return call_end(&c, -1);
	struct kf_labeller *l = mem_alloc(sizeof(*l));
	handle_init(&l->handle, KIND_LABELLER, &c);
	l->pool = handle_pool(&l->handle);
	l->device = device_cpu(k, l->pool);
	if (sayer_open(&l->sayer, path, &l->device, &c.err) < 0) {
		kf_labeller_free(l);
		return call_end(&c, -1);
	}
	*out = l;
	return call_end(&c, 0);
}

void kf_labeller_free(struct kf_labeller *l)
{
	if (!handle_is(l, KIND_LABELLER) || handle_defer(l))
		return;
	l->handle.kind = KIND_NONE;
	sayer_close(&l->sayer);
	pool_free(l->pool);
	mem_free(l);
}

size_t kf_labeller_count(const struct kf_labeller *l)
{
	return handle_is(l, KIND_LABELLER) ? (size_t)l->sayer.way[0].learner.labels.n : 0;
}

const char *kf_labeller_name(const struct kf_labeller *l, size_t i)
{
	return i < kf_labeller_count(l) ? l->sayer.way[0].learner.labels.name[i] : NULL;
}

int kf_labeller_say(struct kf_labeller *l, const char *text, size_t length, int32_t *label, double *chances,
                    struct kf_error *error)
{
	struct call c;
	int32_t said = -1;
	double sure;

	if (call_begin(&c, l, KIND_LABELLER, error) < 0)
		return KF_MISUSE;
	if (!text || !label || !utf8_valid(text, length, NULL))
		return call_misuse(&c, "%s was wanted",
		                   text && label ? "a text in UTF-8" : "a text and a place for its label");
	int status = sayer_say(&l->sayer, text, length, &said, &sure, chances, &c.err);
	if (status == 0)
		*label = said;
	return call_end(&c, status);
}
