/* api_adapter: kf_adapter. */
#include <string.h>

#include "api/handles.h"
#include "base/mem.h"
#include "model/export.h"

int kf_adapter_open(struct kf_adapter **out, struct kf_model *m, const char *folder, struct kf_error *error)
{
	struct call c;

	if (out)
		*out = NULL;
	if (call_begin(&c, m, KIND_MODEL, error) < 0)
		return KF_MISUSE;
	if (!out || !is_path(folder))
		return call_misuse(&c, "%s was wanted, found %s",
		                   out ? "an adapter's folder" : "a place for the adapter",
		                   out && folder ? folder : "NULL");
	if (m->has_own) {
		err_set(&c.err, "%s: an adapter lies over the model already, and no second one can", folder);
		return call_end(&c, -1);
	}
	struct kf_adapter *a = mem_alloc(sizeof(*a));
	if (adapter_load(&a->adapter, folder, &m->model, &c.err) < 0) {
		mem_free(a);
		return call_end(&c, -1);
	}
	handle_init(&a->handle, KIND_ADAPTER, &c);
	a->model = handle_share(m);
	*out = a;
	return call_end(&c, 0);
}

void kf_adapter_free(struct kf_adapter *a)
{
	if (!handle_is(a, KIND_ADAPTER) || !handle_drop(a))
		return;
	adapter_release(&a->adapter);
	kf_model_free(a->model);
	mem_free(a);
}

int adapter_of(const struct kf_adapter *a, const struct kf_model *m, const struct overlay **out, const char **why)
{
	*out = m->has_own ? &m->own.overlay : NULL;
	if (!a)
		return 0;
	*out = NULL;
	*why = handle_is(a, KIND_ADAPTER) ? "the adapter belongs to another kf_model" : "adapter is no kf_adapter";
	if (!handle_is(a, KIND_ADAPTER) || a->model != m)
		return -1;
	*out = &a->adapter.overlay;
	return 0;
}

static const float *merged(void *ctx, int i, float *scratch)
{
	const struct kf_adapter *a = ctx;
	adapter_merged(&a->adapter, &a->model->model, i, scratch);
	return scratch;
}

static const float *merged_head(void *ctx, float *scratch)
{
	const struct kf_adapter *a = ctx;
	adapter_merged_head(&a->adapter, &a->model->model, scratch);
	return scratch;
}

int kf_adapter_merge(const struct kf_adapter *a, const char *folder, const char *dtype, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, a, KIND_ADAPTER, error) < 0)
		return KF_MISUSE;
	if (!is_path(folder))
		return call_misuse(&c, "a folder to write was wanted, found %s", folder ? folder : "NULL");
	if (!dtype || (strcmp(dtype, "f32") && strcmp(dtype, "f16") && strcmp(dtype, "bf16")))
		return call_misuse(&c, "dtype is %s: f32, f16 or bf16 was wanted", dtype ? dtype : "NULL");
	struct export_weights w = { .get = merged,
		                    .head = adapter_unties(&a->adapter) ? merged_head : NULL,
		                    .ctx = (void *)(uintptr_t)a };
	const struct model *m = &a->model->model;
	int status = adapter_check_merge(&a->adapter, &c.err);
	if (status == 0 && m->source.is_gguf)
		status = model_text(a->model, &c.err);
	if (status == 0)
		status = export_folder(m, folder, (enum dtype)dtype_from_name(dtype), &w, &c.err);
	return call_end(&c, status);
}
