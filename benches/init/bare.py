"""A handler that does nothing: what Python and awslambdaric take by themselves."""


def handler(_event, _context):
    return {}
