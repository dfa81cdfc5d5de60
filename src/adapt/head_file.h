/* head_file: a head that classifies in files of its own beside the adapter's, as the `adapters` library keeps it
 * (PredictionHeadLoader): model_head.safetensors, or pytorch_model_head.bin of torch.save, and head_config.json, which
 * says of what class the model is and what its labels are called (label2id). For types whose files are that library's
 * (adapter_type.head_apart). */
#ifndef ADAPT_HEAD_FILE_H
#define ADAPT_HEAD_FILE_H

#include "adapt/adapter.h"
#include "format/safetensors.h"

extern const char head_file[];         /* of the weights, as they are written */

/* Whether the parameter goes there. */
bool head_file_owns(const struct adapter *a, const struct model *m, const struct param *p);
/* Writes head_config.json into dir. */
int head_file_save_config(const struct adapter *a, const struct model *m, const char *dir, struct err *e);
/* Adds the head's tensors, copied, and what its labels are called to s, and to config PEFT's word for it (task_type
 * SEQ_CLS); nothing where dir has no such head. One of another class is told and left. */
int head_file_read(struct safetensors *s, json_t *config, const char *dir, struct err *e);

#endif
