#include "shared_embedded.h"

#include "shared_contract.h"

static struct weir_shared *open_embedded(void *arg)
{
    struct weir_err err;

    return shared_embedded_new(arg, &err);
}

static const struct contract_engine embedded = {.name = "embedded",
                                                .open = open_embedded,
                                                .simulated = true};

int main(void)
{
    return shared_contract_run(&embedded);
}
