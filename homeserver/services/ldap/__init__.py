"""Passwords that an LDAP directory knows, Active Directory included."""
