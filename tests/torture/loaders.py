def of_files(base, count, seed):
    return []


def of_configs(base, count, seed):
    return []
