"""Events that are sent later, unless somebody says otherwise before (MSC4140)."""
