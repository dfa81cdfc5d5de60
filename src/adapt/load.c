/* load: an adapter from whatever holds it: a PEFT folder, or a GGUF file, which is read as the folder that it stands
 * for. */
#include <string.h>

#include "adapt/gguf_adapter.h"
#include "adapt/peft_folder.h"
#include "base/mem.h"

const struct adapter_type *adapter_type_of(const json_t *config)
{
	const char *name = json_string_value(json_object_get(config, "peft_type"));

	for (size_t i = 0; name && adapter_type_table[i]; i++) {
		const struct adapter_type *t = adapter_type_table[i];
		if (t->load && t->peft_type && !strcmp(t->peft_type, name))
			return t;
	}
	return NULL;
}

/* Trained here (--objective classification), and not run. */
static int refuse_classifier(const json_t *config, const char *dir, struct err *e)
{
	const char *task = json_string_value(json_object_get(config, "task_type"));

	if (!task || strcmp(task, "SEQ_CLS") != 0)
		return 0;
	return err_set(e, "%s: an adapter with a head that classifies (task_type SEQ_CLS): PEFT runs it "
	               "(AutoPeftModelForSequenceClassification), kungfu does not; how well it does is told where it "
	               "is trained (kungfu tune --eval-data)", dir);
}

static const struct adapter_type *type_of(const json_t *config, const char *dir, struct err *e)
{
	const char *name = json_string_value(json_object_get(config, "peft_type"));
	const struct adapter_type *type = adapter_type_of(config);

	if (refuse_classifier(config, dir, e) < 0)
		return NULL;
	if (!type)
		err_set(e, "%s/adapter_config.json: peft_type is %s, which this program does not do", dir,
		        name ? name : "not there");
	return type;
}

int adapter_load(struct adapter *a, const char *dir, const struct model *m, struct err *e)
{
	json_t *config;
	struct safetensors s = { 0 };
	*a = (struct adapter){ 0 };
	int status = gguf_adapter_is(dir) ? gguf_adapter_open(&config, &s, dir, m, e) :
	                                    peft_folder_open(&config, &s, dir, e);
	const struct adapter_type *type = status == 0 ? type_of(config, dir, e) : NULL;
	if (type) {
		adapter_begin(a, m, type);
		status = type->load(a, m, config, &s, dir, e);
		if (status < 0)
			adapter_release(a);
	}
	st_close(&s);
	json_decref(config);
	return type ? status : -1;
}
